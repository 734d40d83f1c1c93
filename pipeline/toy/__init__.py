"""The toy experiment: are rare features more entangled when there are more features than dimensions?

Claim 1 of Li et al. 2025 (arXiv 2505.04741, section 2) in four settings, with the controls it lacked.
"""
