"""What is known of records, batches and datasets."""
