"""The networks that lines train. `registry` names them without torch; `build` makes them."""
