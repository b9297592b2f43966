"""Tables in, tables out: intervals, summary, answers. Nothing is measured or drawn here."""
