"""From the files of a batch to records: one reader for each form of data."""
