"""Tools of the repository: how data was prepared, and what the checks need."""
