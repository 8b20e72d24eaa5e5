"""The three stages of OCR: preprocess, model, postprocess.

Each stage's pure code knows nothing of Ray, of HTTP or of the other stages. What flows between
them is in `deployments.types`, what can go wrong in `deployments.errors`.
"""
