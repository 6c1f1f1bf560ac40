"""What arrays are accepted, by name and with what is said of them otherwise. It reads no files and trains nothing."""
