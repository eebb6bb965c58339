"""``vocalics app``: pages in a browser over the same `Model`; nothing is recognised here.

::

    server.py       start Streamlit with every setting given
    settings.py     what the command line says to the pages
    main.py         what Streamlit runs: the pages and the way between them
    listen.py       one recording or many: the answer
    long.py         who sounds how, and when, in a recording of any length
    voices.py       adapt to a voice; compare two models
    corpora.py      explore a corpus (needs the lab)
    trainings.py    runs, curves, the leaderboard (needs the lab)
    about.py        what this cannot know, the law, the model's card
    take.py         record, upload, or pick an example
    examples/       sentences and a call of synthetic voices
    models.py       which models there are to choose from
    memory.py       what a session remembers, and forgets when it ends
    heard.py        what the model says of one recording, for the pages to draw
    answer.py       one answer in words and pictures
    table.py        many answers as a table
    charts.py       bars, spectrogram, attention, plane
    look.py         colours, light and dark
    words.py        sentences
"""
