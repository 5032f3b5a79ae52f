"""NATIX StreetVision, Bittensor subnet 72: miners, a validator, rewards, and what they sign.

The model knows none of it. Only `wire` and `keys` know how requests are signed, only `chain` asks
the chain.
"""
