"""Lists, arrays, tables and other libraries' layouts to the arrays of `Sequences`, and back."""
