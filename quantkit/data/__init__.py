"""What the network is fed: COCO persons, cropped the way evaluation crops them."""
