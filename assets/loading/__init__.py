"""Records into training: as many epochs as are asked for, without reading the landing zone, also beyond memory."""
