"""DICOM on disk and in memory: the members of an upload, and reading a header within bounds.

The modules, from the bottom up:

* `attributes`: the attributes that the house reads, with tag, VR and level. Pure tables.
* `bounds`: what reading one header, and one upload, may cost.
* `streams`: a stream that knows its position, its end and its budget; bounded decompression.
* `elements`: headers of data elements, and walking past values and sequences.
* `transfer_syntax`: how a data set is encoded.
* `recognition`: what a file is, by its first bytes.
* `sop_class`: which SOP classes are images.
* `charset`, `values`: from the bytes of a value to text (PS3.5 6.1 and 6.2).
* `header`: `read_header`, the one way to read a DICOM.
* `zip_directory`, `zip_member`, `members`: `Upload`, the way to look at the headers in an upload.
* `random_file`, `gunzip`, `tar`, `whole`: `WholeUpload`, the way to read all that is in one.
"""
