"""pytest's plugins of this repository: whose files are tested, failures that teach, three states and a record of them."""
