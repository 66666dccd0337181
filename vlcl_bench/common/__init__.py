"""What every room stands on: files, seeds, folders, progress, importing. None of it imports another room."""
