# A first layer that encodes columns: from its description to csrc/fastsgd.h's fs_columns. Included by _kernel.pyx.

cdef const int32_t* integers(values, list kept) except? NULL:
    """Where an array of these whole numbers begins, NULL for none."""
    cdef int32_t[::1] array = numpy.array(list(values), numpy.int32)
    kept.append(array)
    return &array[0] if array.shape[0] else NULL


cdef fs_columns* columns_of(layer, fs_job* job, list kept) except NULL:
    """What the layer does; its tensors are bound elsewhere."""
    memory = bytearray(sizeof(fs_columns))
    cdef fs_columns* columns = <fs_columns*><char*>memory
    cdef ptrdiff_t lines
    kept.append(memory)
    encoding, names = layer.numbers, [name for name, _ in layer.tensors]
    at = [layer.number_columns[place] for place in layer.number_order]
    columns.numbers, columns.number_at = len(at), integers(at, kept)
    columns.basis, columns.terms = FS_IDENTITY_BASIS, 1
    columns.term_columns = integers(layer.term_columns, kept)
    columns.number_features = columns.numbers
    if encoding is not None:
        columns.basis, columns.terms, columns.outputs = BASES[encoding.basis], encoding.terms, encoding.map_outputs
        columns.relu, columns.shortcut = encoding.map_activation == "relu", encoding.shortcut
        columns.number_features = encoding.features(len(at))
        if encoding.basis == "piecewise":
            lines = columns.terms * columns.numbers
            slope, offset, lowest, highest = encoding.lines(layer.number_order)
            columns.slope = copy_of(slope.ravel(), job, lines, "slope", kept)
            columns.offset = copy_of(offset.ravel(), job, lines, "offset", kept)
            columns.lowest = copy_of(lowest.ravel(), job, lines, "lowest", kept)
            columns.highest = copy_of(highest.ravel(), job, lines, "highest", kept)
    if "frequencies" in names:
        columns.angles = layer.shapes()[names.index("frequencies")][0]
    columns.frequencies, columns.phases, columns.weights, columns.biases, columns.embeddings = (
        names.index(name) if name in names else -1
        for name in ("frequencies", "phases", "column_weights", "column_biases", "embeddings"))
    columns.one_hots, columns.embedded = len(layer.one_hot), len(layer.embedded)
    columns.one_hot_at = integers((column for column, _ in layer.one_hot), kept)
    columns.one_hot_levels = integers((levels for _, levels in layer.one_hot), kept)
    columns.embedded_at = integers((column for column, _ in layer.embedded), kept)
    columns.embedded_levels = integers((levels for _, levels in layer.embedded), kept)
    columns.first_row = integers(layer.first_rows, kept)
    columns.width, columns.lazy = layer.embedding_size, layer.lazy
    return columns
