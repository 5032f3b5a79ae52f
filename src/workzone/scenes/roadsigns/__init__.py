"""Traffic signs from drawings, put into photographs: road works, and all others."""
