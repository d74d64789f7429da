"""What each address shows: binds a state to components."""
