"""Making data sets ready: checked, regrouped, degraded, packed."""
