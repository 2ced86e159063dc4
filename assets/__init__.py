"""The work of the platform, one room per stage; the modules beside this file are the floor every room stands on."""
