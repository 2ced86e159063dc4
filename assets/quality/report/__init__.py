"""The pages for reviewers: one per batch, one per line, one over all. Static HTML with nothing fetched and no script.

Every value is escaped by the template engine: labels, file names, column names and cells come from strangers. Each page
is bounded in size, whatever the batch; values of private columns are on none.
"""

from assets.quality.report.indexes import write_indexes
from assets.quality.report.page import batch_page
from assets.quality.report.suite import gx_page, suite_page

__all__ = ["batch_page", "gx_page", "suite_page", "write_indexes"]
