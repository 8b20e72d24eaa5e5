"""Jobs: documents that outlast a request, read page by page into a folder that outlives the service."""
