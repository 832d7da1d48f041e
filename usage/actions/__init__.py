"""What changes usage: reporting it, recording it, rolling it up."""
