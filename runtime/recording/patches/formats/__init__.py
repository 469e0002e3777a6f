"""The formats of providers, as far as a patch needs them: where a field stands in a request and in an answer, and how
an answer is made a stream again."""
