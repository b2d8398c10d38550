"""One module a processing type: it declares `TYPE`, and being here is all that it takes."""
