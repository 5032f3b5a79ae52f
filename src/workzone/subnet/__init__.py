"""NATIX StreetVision's validator and its rewards; the model itself knows neither."""
