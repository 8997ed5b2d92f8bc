"""What is quantized: the ncnn graph, its weights, and the way from a training framework to it."""
