"""Methods x seeds: trained in processes of their own, scored and compared."""
