"""The sparse wide network: CSR rows and class indices in, probabilities out."""
