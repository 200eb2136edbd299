"""m4: the KV cache: kv_store and decode_attention."""
