"""Frames straight from the chunks of HDF5 files, decoded here instead of by HDF5.

HDF5 decodes one chunk after another, each as a whole, and locks out all other threads. Here several
threads read and decode chunks at the same time, and only the blocks that the window touches.

Why LZ4, LZF and the bit and byte shuffles are written by hand: libraries decode whole chunks into
a buffer, from which the window would have to be unshuffled and cut in further passes. The decoders
here stop early, skip the blocks that the window does not touch, and make its pixels in one pass.
With ``benchmarks/reading.py`` (one thread against HDF5, window 256² of 512²; results in
``benchmarks/results/reading.md``) that is 7 to 8 times as fast for an Eiger 4M with a window of
512², 2.7 times for bitshuffle-LZ4, 4 to 6 times for LZF, 4.5 times for shuffled gzip, 1.6 times
for Blosc-LZ4, 1.3 times for LZ4. Where a library is as fast (zlib, zstd, the other codecs of Blosc,
Blosc2) imagecodecs decompresses.

``layout``
    which chunks a read needs, and which part of each
``stored``
    where chunks are in the file, and how they are fetched
``direct``
    a read on several threads; which decoder for which filters; chunks without filters
``decoders``
    compressed and shuffled chunks, and the window cut out of them
``compression``
    codecs of whole chunks
``lz``, ``unshuffle``
    what numba compiles
"""
