"""The problems of a sweep: found, told apart by their hash, and written as an artifact's files.

sources    problems of every kind of source, by split
chain_sum  the built-in task
local      rows of a user's own files
hub_rows   rows of a data set on the Hugging Face hub
splits     which problems are trained on, chosen on and measured on
files      the files of a Problems artifact
"""
