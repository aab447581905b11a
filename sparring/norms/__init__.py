"""A second batch norm for adversarial examples, for any nn.Module."""

from sparring.norms.dual import DualBatchNorm, convert, domain_of, extract, has_domains, robust_domain, use_domain

__all__ = ["DualBatchNorm", "convert", "domain_of", "extract", "has_domains", "robust_domain", "use_domain"]
