terraform {
  required_version = ">= 1.9"
}

# Where logs are kept.
resource "aws_s3_bucket" "logs" {
  bucket = "example-logs"

  tags = {
    team = "platform"
  }
}

resource "aws_db_instance" "shop" {
  engine   = "postgres"
  username = "shop"
  password = "hunter2"
}

module "network" {
  source   = "./modules/network"
  cidr     = "10.0.0.0/16"
  db_token = var.db_token
}

variable "region" { default = "eu-central-1" }
