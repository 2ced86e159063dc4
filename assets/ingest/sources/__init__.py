"""What lies in a source, wherever it is: folders, archives, other machines; nothing in it is trusted."""
