"""What git and pre-commit start: one hook id, one module, one program. Hooks read their input and ask; they decide nothing."""
