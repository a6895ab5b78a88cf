"""Tools of the repository for data, pictures, the documentation site and the checks."""
