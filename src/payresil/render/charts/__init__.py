"""Charts as inline SVG: series from SQL, scales, paths. Pure functions, no plotting library.

A report needs three time series with shaded windows. That is a few small files here; a plotting
library would add seconds to the start of every command and tens of megabytes to every
installation, and its pictures know neither the page's dark scheme nor its print style.
"""
