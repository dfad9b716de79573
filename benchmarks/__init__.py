"""What is measured, and how. ``make bench`` prints tables and writes JSON under reports/bench/."""
