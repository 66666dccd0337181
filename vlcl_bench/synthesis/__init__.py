"""Pictures made by a text-to-image model: prompts, pipelines, a store of what was made, a small model of our own."""
