"""The kinds of avatar, behind one interface; ``registry`` lists them."""
