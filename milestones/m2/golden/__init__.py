"""Golden fixtures of m2: each op by torch.nn.functional or transformers, in float32."""
