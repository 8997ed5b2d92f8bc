"""Outputs become keypoints, keypoints become COCO AP and its drop."""
