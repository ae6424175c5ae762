"""The report of a sweep: it reads what the steps left in the store and never recomputes a measurement.

sweep      artifacts → everything that is told (paired changes and the recommendation by `effreason.evaluation`)
schema     report.json, the contract for other programs; `document` fills it
cells      cells.csv
table      the small table, for a terminal
page       report.html and frontier.svg: geometry in Python, markup in *.html, looks in *.css, manners in page.js
"""
