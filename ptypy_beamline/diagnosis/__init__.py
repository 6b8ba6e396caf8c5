"""What is wrong with a scan, found from its data: orientation, pairing, centre, units, sampling."""
