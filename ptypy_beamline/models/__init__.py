"""PtyPy's scan models, made ready in bulk.

``views.py`` and ``storages.py`` make many of PtyPy's views, pods and storages at once,
``scan_models.py`` has the models that a parameter tree names.
"""
