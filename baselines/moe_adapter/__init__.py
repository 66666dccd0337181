"""MoE-Adapter: the method, its mixtures of experts, and the selector of the task."""
