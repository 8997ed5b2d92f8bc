"""What is changed so that int8 hurts less, judged by the network's own output on train crops."""
