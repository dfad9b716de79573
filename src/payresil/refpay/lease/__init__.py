"""The lease of a region: who may take payments, in which epoch, as the witness says."""
