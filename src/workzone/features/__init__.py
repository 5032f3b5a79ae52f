"""What a backbone says of views, computed once and stored; nothing here learns or decides."""
