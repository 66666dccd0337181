"""The mini CLIP: its tower, its weights, how it was pretrained, and how much room it leaves."""
