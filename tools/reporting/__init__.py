"""What the page of a run is made of: what its folder holds, pictures, and the page's template."""
