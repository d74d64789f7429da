"""The only room that knows litellm: completions, embeddings, prices, local models."""
