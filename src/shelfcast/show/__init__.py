"""Show: charts and the report, one self-contained HTML file."""
